-- Owners of missions that are no living worker: free them as if we had seen them die.
select distinct owner
from missions_mission
where owner is not null and owner not in (select id from missions_worker where dead_at is null)
