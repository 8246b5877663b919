-- When the next mission or alarm is due, for the one timer of a worker; now comes with it, so that clocks need not agree.
select missions_now(), least(
    (
        select min(wake_at)
        from missions_mission
        where owner is null and wake_at is not null
            and (control_seq > control_done or (type, version) in (select * from unnest($1::text[], $2::int4[])))
    ),
    (select min(nominal_at) from missions_alarm where rung_at is null)
)
