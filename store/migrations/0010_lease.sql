-- A database that was restored, or that took over from another, may have forgotten what it granted last. It grants nothing
-- until those have told what they hold who were alive by what it knows, for a while at least and not for longer than another.
ALTER TABLE store_epoch ADD COLUMN changed_at_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE store_epoch ADD COLUMN alive_since_ms BIGINT NOT NULL DEFAULT 0;

-- The epoch under which a replica was last seen, and how many questions of its run have been answered: of an older copy of
-- the database, the replica knows more answers than the copy does.
ALTER TABLE replicas ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE replicas ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
