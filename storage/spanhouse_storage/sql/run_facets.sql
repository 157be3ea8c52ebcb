SELECT
    arraySort(groupUniqArray(1000)(tenant)) AS tenant,
    arraySort(groupUniqArray(1000)(environment)) AS environment,
    arraySort(groupUniqArray(1000)(agent)) AS agent,
    arraySort(groupUniqArrayArray(1000)(models)) AS model,
    arraySort(groupUniqArray(1000)(stop_code)) AS stop_code,
    arraySort(groupUniqArray(1000)(task_type)) AS task_type,
    arraySort(groupUniqArray(1000)(variant)) AS variant
FROM runs FINAL
