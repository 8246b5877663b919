-- Which attempt each mission has: asked only after a batch wrote fewer rows than it sent.
select id, attempt from missions_mission where id = any ($1::int8[])
