-- How far this database has come, in figures that only rise: position of the flushed log, oldest open transaction, and a
-- count of our own (missions_tide), which a dump takes back too where it is restored into the same cluster. The count is
-- flushed before it is told, or a crash could take it back. With it: when the last loss was found. Touches no mission.
select system.system_identifier,
    ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int8,
    (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::int8,
    pg_snapshot_xmin(pg_current_snapshot())::text::int8,
    nextval('missions_tide'),
    clock_timestamp(),
    (select max(found_at) from missions_freeze),
    set_config('synchronous_commit', 'on', true)
from pg_control_system() as system
