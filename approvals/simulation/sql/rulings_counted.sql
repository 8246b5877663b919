-- How many rulings a replay will walk, for its progress: `rulings.sql` without the order.
select count(*)
from missions_journal j
join missions_mission m on m.id = j.mission_id
where j.kind = 'ruling'
  and (j.recorded_at, j.mission_id, j.seq) > (%(at)s, %(mission_id)s, %(seq)s)
  and j.recorded_at < %(until)s
  and m.type <> %(own)s and %(type)s in ('', m.type)
  and not exists (
      select from missions_timeline t where t.mission_id = j.mission_id and t.verb = 'fork' and j.seq < t.opened_seq
  )
