-- The seeds of all timelines of these missions, and what people said as they opened them. Most missions have never opened
-- one, so only the others are asked for, once they are claimed: a claim is waited for.
select mission_id, number, seed, guidance
from missions_timeline
where mission_id = any ($1::int8[])
