"""The only owner of the kernel's watchdog: pets it while every condition of this host holds.

A process of its own, standard library only, so that nothing else can keep it from petting, and
nothing of it can fail for another's sake. Others (the process monitor, later sm) register what must
hold as leases, and renew them; a lease that lapses lets the watchdog bite.
"""
