"""Awaits that no scene comes to, and why. A name that is reached, or gone, has no place here: a test says so."""

from __future__ import annotations

RESTORED = "only after a restored backup: tests/acceptance/test_restore.py dies there"
QUARANTINE = "starts a process of its own: tests/acceptance/test_quarantine.py kills those"
LEAVING = "only while a worker drains or a control waits, in a call that has just become fresh"
NOT_LET_GO = "an end on record whose row was not let go of: no death leaves that, since both are one commit"
POLICY = "only where policy changes between approval and call: tests/integration/test_effects.py"
LATE_ANSWER = "a race of a late answer with a person's: tests/integration/test_effects.py"
REFUSED_CONTROL = "a control that has come to mean nothing, and ends at once: tests/integration/test_controls.py"
BROKEN = "only where a control's own program is at fault"
SERVER_AWAY = "only where an MCP server can not be asked for its schema: tests/integration/test_mcp_failures.py"
PEOPLE = "another choice of the same question: tests/integration/test_controls.py"
STOPPED = "only where people press a stop: tests/integration/test_stops.py"
ON_A_SERVER = "only of tools on an MCP server: tests/acceptance/test_crash_table.py dies around it"
CHANGED = "only where an MCP server has changed a tool: tests/integration/test_tool_drift.py"
EDITED = "only where people edited what is asked: tests/integration/test_answers.py"
JUST_CAME = "only where a tool's server has just been registered: tests/integration/test_registered_servers.py"
NOT_A_WORKER = "a rehearsal for people; no worker runs it"

WHY: dict[str, str] = {
    "context.resources:Resources._reading:self._run.owner.in_database": JUST_CAME,
    "context.work:Work._spec:self._run.owner.in_database": JUST_CAME,
    "engine.attempt:attempt:_catch_up": NOT_LET_GO,
    "engine.attempt:_catch_up:more_entries": NOT_LET_GO,
    "control.program:Program.end:self.run.release:2": NOT_LET_GO,
    "control.programs:steer:program.give_way": NOT_LET_GO,
    "control.program:Program.give_way:self.run.release": NOT_LET_GO,
    "engine.branches:durable.whole:call": "refuses a call outside of any branch; nothing is awaited in it",
    "engine.liveness:Liveness._bury:asyncio.sleep": "only where the database refuses a takeover",
    "engine.threads:Threads.patiently:asyncio.sleep": "only while the database is away; the fault itself leads there",
    "engine.process:Worker.run:self._quarantine.close": QUARANTINE,
    "engine.quarantine:Quarantine._run:asyncio.create_subprocess_exec": QUARANTINE,
    "engine.quarantine:Quarantine._run:process.wait": QUARANTINE,
    "engine.quarantine:Quarantine._run:asyncio.sleep": QUARANTINE,
    "engine.quarantine:Quarantine.close:asyncio.wait_for": QUARANTINE,
    "engine.liveness:Liveness.reserve:self._first_here": QUARANTINE,
    "engine.liveness:Liveness._beat:self._first_here": QUARANTINE,
    "engine.liveness:Liveness._first_here:self.aux.call": QUARANTINE,
    "engine.worker:Incarnation.open:self.liveness.reserve": QUARANTINE,
    "engine.run:Run.recorded:self.put_back": LEAVING,
    "engine.run:Run.recorded:self.put_back:2": LEAVING,
    "effects.admission:admitted:run.put_back": LEAVING,
    "effects.admission:seated:run.put_back": LEAVING,
    "effects.charging:_reserved:run.put_back": LEAVING,
    "engine.worker:Incarnation.drain:asyncio.sleep": "only with something in memory: tests/acceptance/test_drain.py",
    "engine.witness:Witness.attest:self._freeze": RESTORED,
    "engine.witness:Witness.attest:self._look:2": RESTORED,
    "engine.witness:Witness._freeze:self._session.call": RESTORED,
    "effects.doubt:resolve:_recall": RESTORED,
    "effects.doubt:_recall:_probe": RESTORED,
    "effects.doubt:_recall:ask_person": RESTORED,
    "effects.doubt:_not_done:op.retry": RESTORED,
    "effects.admission:unless_stopped:run.owner.in_database": STOPPED,
    "effects.admission:unless_stopped:run.owner.learn_rules": STOPPED,
    "effects.admission:unless_stopped:run.wait": STOPPED,
    "effects.intents:stands:op.put_off": STOPPED,
    "effects.intents:rule:op.run.owner.in_database": EDITED,
    "effects.admission:_told:op.record": "only at a circuit that another mission opened",
    "effects.evidence:_latest:op.run.owner.in_database": "only in a control or a later chapter: test_evidence.py",
    "effects.dispatch:kept:asyncio.to_thread": "only with a result of over 128 KiB: tests/integration/test_canaries.py",
    "effects.doubt:_probe:ask_person:2": "only where no probe can ever tell: test_crash_table_of_tools.py dies there",
    "effects.preparing:settled:op.run.wait": SERVER_AWAY,
    "effects.preparing:stands:op.put_off": SERVER_AWAY,
    "effects.preparing:settled:op.spec.sight": ON_A_SERVER,
    "effects.preparing:settled:_hold": ON_A_SERVER,
    "effects.preparing:stands:op.spec.sight": ON_A_SERVER,
    "effects.preparing:stands:_hold": ON_A_SERVER,
    "effects.preparing:_hold:op.run.owner.in_database": ON_A_SERVER,
    "effects.preparing:settled:_wait": CHANGED,
    "effects.preparing:_wait:op.run.wait": CHANGED,
    "effects.preparing:stands:op.put_off:2": CHANGED,
    "effects.preparing:refuse:intents.refused": CHANGED,
    "effects.preparing:refuse:op.record": CHANGED,
    "effects.call:ToolRun._act:preparing.refuse": CHANGED,
    "control.undo:_ready:program.run.wait": SERVER_AWAY,
    "effects.call:ToolRun._call:reads.read": "a read has no intent, so none is met there",
    "effects.intents:refused:doubt.ask_person": POLICY,
    "effects.intents:refused:op.record": POLICY,
    "effects.intents:stands:refused": POLICY,
    "effects.intents:stands:doubt.ask_person": "only where the other side has forgotten the key meanwhile",
    "effects.intents:stands:op.retry": "only where the deadline passes before the call is made",
    "effects.call:ToolRun._take:doubt.ask_person": "only where a tool first gives no answer and then an error",
    "effects.doubt:settled_by_late_answer:op.run.owner.in_database": LATE_ANSWER,
    "effects.doubt:settled_by_late_answer:_adopt": LATE_ANSWER,
    "effects.doubt:resolve:_adopt": LATE_ANSWER,
    "effects.doubt:_apply:_adopt": LATE_ANSWER,
    "effects.doubt:_apply:ask_person": PEOPLE,
    "effects.endings:done:op.record:2": "only where a workspace can not be kept: tests/integration/test_workspaces.py",
    "effects.standing:settle:adopt": "the same entry as a person's choice to adopt, which is reached",
    "effects.steps:StepRun._within_budget:self._append": "people refuse effects here, not steps",
    "control.program:Program.break_off:self.run.release": BROKEN,
    "control.programs:steer:program.break_off": BROKEN,
    "control.program:Program.refuse:self.end": REFUSED_CONTROL,
    "control.programs:_pause:program.end": REFUSED_CONTROL,
    "control.programs:_resume:program.refuse": REFUSED_CONTROL,
    "control.programs:_cancel:program.refuse": REFUSED_CONTROL,
    "control.programs:_deadline:program.refuse": REFUSED_CONTROL,
    "control.amending:amend:program.refuse": REFUSED_CONTROL,
    "control.amending:amend:program.refuse:2": "only where policy or people refuse it: tests/integration/test_goals.py",
    "control.rollback:rollback:program.refuse": REFUSED_CONTROL,
    "control.rollback:retry:program.refuse": REFUSED_CONTROL,
    "control.rollback:retry:program.refuse:2": REFUSED_CONTROL,
    "control.programs:_attend:program.end:2": PEOPLE,
    "control.rollback:take_back:program.run.owner.in_database:2": "only a rollback past a child",
    "control.undo:Settling._back_off:super._back_off": "only where settling finds no answer twice",
    "control.undo:Settling._back_off:self.record": "only where settling finds no answer twice",
    "control.replay:_rehearse:asyncio.wait": NOT_A_WORKER,
    "control.replay:_body:kind.function": NOT_A_WORKER,
    "context.patches:Patches.deprecate_patch:run.recorded": "only in a mission that a former version has begun",
}
