-- The next past rulings after a place in history, in the order of `journal_rulings`, which the row comparison walks.
-- Left out: what a fork only copied, since it was ruled on once, and what replays ask for themselves.
select j.recorded_at, j.mission_id, j.seq, j.path, coalesce(j.payload, p.body), m.uid, m.type, b.title, b.started_by_id
from missions_journal j
join missions_mission m on m.id = j.mission_id
join missions_brief b on b.mission_id = j.mission_id
left join missions_payload p on p.digest = j.stored
where j.kind = 'ruling'
  and (j.recorded_at, j.mission_id, j.seq) > (%(at)s, %(mission_id)s, %(seq)s)
  and j.recorded_at < %(until)s
  and m.type <> %(own)s and %(type)s in ('', m.type)
  and not exists (
      select from missions_timeline t where t.mission_id = j.mission_id and t.verb = 'fork' and j.seq < t.opened_seq
  )
order by j.recorded_at, j.mission_id, j.seq
limit %(limit)s
