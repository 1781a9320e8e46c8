-- Tokens that have prices of their own besides those that are counted already. Null in the rows, and 0 in the sums, of a
-- program that does not know of them.
ALTER TABLE attempts ADD COLUMN cache_write_1h_tokens BIGINT;
ALTER TABLE attempts ADD COLUMN image_output_tokens BIGINT;
ALTER TABLE usage_hours ADD COLUMN cache_write_1h_tokens BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_hours ADD COLUMN image_output_tokens BIGINT NOT NULL DEFAULT 0;
