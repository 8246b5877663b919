-- Portions are mostly compressed already, and are read whole: PostgreSQL's compression would only cost time.
alter table missions_portion alter column body set storage external;
