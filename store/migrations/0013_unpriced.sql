-- What a limit on dollars does with a call to a model without a price. A limit on anything else has the word and no use for it.
ALTER TABLE limits ADD COLUMN unpriced TEXT NOT NULL DEFAULT 'refuse';
