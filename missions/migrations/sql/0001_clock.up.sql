-- The one clock. Tests move `shift`; everywhere else it stays zero. Created before the tables, whose defaults call it.
create table missions_clock (
    single boolean primary key default true check (single),
    shift interval not null default '0'
);
insert into missions_clock default values;

create function missions_now() returns timestamptz
language sql stable parallel safe
as $$ select statement_timestamp() + shift from missions_clock $$;
