-- Who opened a circuit, and why, is never forgotten.
create trigger circuit_change_append_only before update or delete on missions_circuitchange
    for each row execute function missions_refuse_change();
