-- The ids of limits that were removed. Whoever sets the same again gets the same id, and with it what was granted of the
-- window under way: a limit that is removed and set again does not give its cap away twice.
CREATE TABLE removed_limits (
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    period TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, subject, subject_id, unit, period)
);
