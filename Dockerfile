FROM python:3.12-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir ".[server,runtime,postgres]" && useradd --create-home spanhouse && mkdir /data && chown spanhouse /data
USER spanhouse
EXPOSE 4318
CMD ["spanhouse", "up"]
