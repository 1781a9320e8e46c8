-- Whether a tenant's calls are refused where a part of them has no place in the provider's dialect. A program that does not
-- know of it leaves that part out, as before.
ALTER TABLE tenants ADD COLUMN strict BIGINT NOT NULL DEFAULT 0;
