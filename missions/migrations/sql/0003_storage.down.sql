alter table missions_portion alter column body set storage extended;
