-- An attempt's id begins with the time of its call (a ULID), so one index by id does what three did: by time, by call and,
-- as the primary key, by tenant and time. Each index less is a tree less to write for every call.
DROP INDEX attempts_by_tenant_and_time;
DROP INDEX attempts_by_time;
DROP INDEX attempts_by_call;
CREATE INDEX attempts_by_id ON attempts (attempt_id);
