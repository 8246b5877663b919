-- How many missions are in memory: of all types together first, then of each of these types.
select '*', count(*) from missions_mission where owner is not null
union all
select type, count(*) from missions_mission where owner is not null and type = any ($1::text[]) group by type
