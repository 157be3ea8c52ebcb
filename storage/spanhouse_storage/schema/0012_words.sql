-- Words of what spans answered, what went wrong, and what they were asked. The conversation that a model call inside a run
-- carries is left out: it repeats what earlier spans answered and what the run was asked, and doubles the index.
-- The expression stands word for word in reads/columns.py; a read that says it otherwise scans.
ALTER TABLE spans ADD INDEX IF NOT EXISTS by_words lowerUTF8(concat(output, '\n', status_message, '\n', if(span_class = 'llm' AND parent_span_id != '', '', input))) TYPE text(tokenizer = splitByNonAlpha) GRANULARITY 100000000;

ALTER TABLE spans MATERIALIZE INDEX by_words
