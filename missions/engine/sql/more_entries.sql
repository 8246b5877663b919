-- The next portion of a mission's history, for a replay that has come to the end of the one before.
select entry.mission_id, entry.seq, entry.timeline, entry.kind, entry.path, entry.input_hash,
    coalesce(entry.payload, payload.body), entry.recorded_at
from (
    select journal.*
    from missions_journal as journal
    left join missions_timeline as timeline on timeline.mission_id = $1::int8 and timeline.number = $2::int4
    where journal.mission_id = $1::int8 and journal.seq > $3::int4
        and (timeline.kept is null or journal.seq <@ any (timeline.kept))
    order by journal.seq
    limit $4::int4
) as entry
left join missions_payload as payload on payload.digest = entry.stored
order by entry.seq
