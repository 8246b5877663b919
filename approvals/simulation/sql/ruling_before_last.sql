-- The place in history after which the last so many rulings come: `journal_rulings` backwards. None where there are
-- not so many.
select j.recorded_at, j.mission_id, j.seq
from missions_journal j
join missions_mission m on m.id = j.mission_id
where j.kind = 'ruling' and j.recorded_at < %(until)s and m.type <> %(own)s and %(type)s in ('', m.type)
  and not exists (
      select from missions_timeline t where t.mission_id = j.mission_id and t.verb = 'fork' and j.seq < t.opened_seq
  )
order by j.recorded_at desc, j.mission_id desc, j.seq desc
offset %(last)s limit 1
