import pytest, time
from tests.acceptance.people import Reviewer, approve
from tests.acceptance.processes import until
pytestmark = pytest.mark.acceptance

def test_smoke(system):
    t=time.time()
    system.start_payments("keyed")
    print('pay', time.time()-t)
    system.start_web()
    print('web', time.time()-t)
    system.start_worker(); system.start_worker()
    print('workers', time.time()-t)
    admin = system.person("admin")
    with Reviewer(system.person("sam"), approve), Reviewer(system.person("fiona"), approve):
        uids=[admin.start("refund", {"order_id": f"ORD-{1001+i}", "amount": "600.00" if i%2 else "20.00", "reason":"x"}, f"k{i}") for i in range(10)]
        print('started', time.time()-t)
        for u in uids: print(until("end", 30, lambda: admin.ended(u))["verdict"])
    print('ended', time.time()-t)
    f=system.facts()
    print('facts', time.time()-t)
    for k,v in f.items(): print(k, v if isinstance(v,int) else len(v), str(v)[:1500])
    time.sleep(5)
    import psutil
    for p in system.processes: print(p.name, psutil.Process(p.pid).cpu_times())
    time.sleep(5)
    for p in system.processes: print(p.name, psutil.Process(p.pid).cpu_times())
