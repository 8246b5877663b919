-- Turn a mission that this very transaction has let go of: to another timeline, chapter or version, or past a control.
-- A control that came meanwhile makes it due at once.
update missions_mission
set control_done = coalesce($3::int4, control_done),
    timeline = coalesce($4::int4, timeline),
    chapter = coalesce($5::int4, chapter),
    replay_from = coalesce($6::int4, replay_from),
    mail_from = coalesce($7::int4, mail_from),
    version = coalesce($8::int4, version),
    wake_at = case when control_seq > coalesce($3::int4, control_done) then missions_now() else wake_at end
where id = $1::int8 and attempt = $2::int4 and xmin = pg_current_xact_id()::xid
