drop trigger takeover_append_only on missions_takeover;
drop trigger signal_append_only on missions_signal;
drop trigger journal_append_only on missions_journal;
drop function missions_refuse_change();
alter table missions_mission reset (fillfactor, autovacuum_vacuum_scale_factor);
