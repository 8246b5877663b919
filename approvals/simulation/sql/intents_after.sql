-- The intent that followed each of these rulings at its path: rulings of earlier releases did not say what was ruled on.
select r.mission_id, r.seq, coalesce(i.payload, p.body)
from unnest(%(missions)s::bigint[], %(seqs)s::int[], %(paths)s::text[]) as r (mission_id, seq, path)
cross join lateral (
    select j.payload, j.stored from missions_journal j
    where j.mission_id = r.mission_id and j.seq > r.seq and j.path = r.path and j.kind = 'intent'
    order by j.seq limit 1
) as i
left join missions_payload p on p.digest = i.stored
