-- A worker that fenced itself lives on under a new id: the former id's end was no mission's fault. Waits for the row of
-- whoever is burying it right now; who comes later reads it (bury.sql), and what was buried before is made good by
-- forgive.sql, so that no strike slips through between the two.
update missions_worker set survived = true where id = $1::int8
