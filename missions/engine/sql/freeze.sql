-- Freeze the installation, once: claims look for an open row here (claim.sql). Flushed before anything follows from it.
-- A database without missions has nothing that could happen twice.
insert into missions_freeze
    (why, host, witness, found_at, thawed_by, reason, nothing_was_lost)
select $1::text, $2::text, $3::text::jsonb, $4::timestamptz, '', '', false
where exists (select from missions_mission)
on conflict do nothing
returning set_config('synchronous_commit', 'on', true)
