drop function missions_now();
drop table missions_clock;
