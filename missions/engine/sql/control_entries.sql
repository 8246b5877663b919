-- What a control program has recorded so far, wherever it was cut off.
select entry.mission_id, entry.seq, entry.timeline, entry.kind, entry.path, entry.input_hash,
    coalesce(entry.payload, payload.body), entry.recorded_at
from missions_journal as entry
left join missions_payload as payload on payload.digest = entry.stored
where entry.mission_id = $1::int8 and starts_with(entry.path, $2::text)
order by entry.seq
