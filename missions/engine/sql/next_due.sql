-- When the next mission or alarm is due, for the one timer of a worker; now comes with it, so that clocks need not agree.
-- Missions in quarantine are due for quarantine processes only, and while the installation is frozen none is due at all.
select missions_now(), least(
    (
        select min(wake_at)
        from missions_mission
        where owner is null and wake_at is not null and type = any ($1::text[]) and (strikes > 1) = $2::bool
            and not exists (select from missions_freeze where thawed_at is null)
    ),
    (select min(nominal_at) from missions_alarm where rung_at is null)
)
