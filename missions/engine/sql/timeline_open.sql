-- Open a timeline, fenced like the entry that tells of it: its history is its parent's up to the point, and what follows.
insert into missions_timeline
    (mission_id, number, parent, to_seq, opened_seq, kept, seed, verb, reason, guidance, opened_by)
select mission.id, $3::int4, $4::int4, $5::int4, $6::int4,
    array(
        select part * int4range(1, $5::int4, '[]')
        from unnest(coalesce(parent.kept, array[int4range(1, null)])) as part
        where part && int4range(1, $5::int4, '[]')
    ) || int4range($6::int4, null),
    $7::uuid, $8::text, $9::text, $10::text, $11::text
from missions_mission as mission
left join missions_timeline as parent on parent.mission_id = mission.id and parent.number = $4::int4
where mission.id = $1::int8 and mission.attempt = $2::int4
on conflict (mission_id, number) do nothing
