#!/usr/bin/env python3
"""Makes golden.csv: what fd_eval.py, an independent implementation in numpy, says of the published detectors on
the traces of tests/data/traces. Needs numpy, scipy and pandas:

    python3 golden.py ../traces golden.csv

Every detector with every eighth of its parameters, and its last. With --score it prints every cell and the score instead
(score.txt), over the traces and every further folder of folders that is given, such as scenarios that were exported by
`heartbeat replay --synthetic --export DIR`:

    python3 golden.py --score ../traces > score.txt
"""
import glob, math, os, sys
import numpy as np
import fd_eval as fd

ONE_WAY = ('planetlab-send', 'loopback-vm-20ms')
BUDGETS = (0.5, 1, 2, 3, 5, 10, 20)
NOT_PUBLISHED = ('chen-ts(100)', '2W-ts(1,100)', 'EHM (proposed)')

fd_seg = fd.Seg
class Seg(fd_seg):
    """As in fd_eval, but arrivals are whole microseconds: a sum of two floats is off by 1e-12 ms now and then, and beats
    that arrive in the same microsecond (25 pairs on loopback) were taken for overtaken ones."""
    def __init__(self, send, delay, name='', pauses=None):
        fd_seg.__init__(self, send, delay, name, pauses)
        send = np.asarray(send, float); ok = ~np.isnan(delay); q = np.arange(len(send))[ok]; s = send[ok]
        A = np.round((s+delay[ok])*1e3)/1e3; o = np.lexsort((q, A)); A, q, s = A[o], q[o], s[o]
        keep = np.r_[True, q[1:] > np.maximum.accumulate(q)[:-1]]
        self.A, self.q, self.s = A[keep], q[keep], s[keep]; self.rtt = self.A-self.s; self.warm = min(fd.WARM, len(self.A)//5)
fd.Seg = Seg

def detectors(name):
    dets = {**fd.BASE, **fd.OURS}
    if name in ONE_WAY: dets.pop('rfc6298')
    return dets

def folders(root):
    return sorted(d.rstrip('/') for d in glob.glob(root+'/*/') if glob.glob(d+'/*.csv'))

def golden(root, out):
    lines = ['trace,detector,parameter,mistakes,mean_us,p99_us,worst_us,accuracy,mistake_us']
    for d in folders(root):
        name = os.path.basename(d); segs = fd.load_dir(d); rows = []
        for dn, fn in detectors(name).items():
            pars = [float(p) for p, _ in fn(segs[0])]
            keep = {pars[i] for i in [*range(0, len(pars), 8), len(pars)-1]}
            accs = {}
            for seg in segs:
                for par, tau in fn(seg):
                    if float(par) in keep: fd.add_qos(accs.setdefault(float(par), fd.Acc()), seg, tau)
            rows += [(dn, repr(p), a.row()) for p, a in accs.items()]
        if name not in ONE_WAY: rows += [(r['det'], r['par'], r) for r in fd.kofn_eval(segs)[::8]]
        for dn, par, r in rows:
            numbers = [r['mist'], *(f"{1e3*r[c]:.3f}" for c in ('td', 'td99', 'tdmax')), f"{r['pa']:.9f}", f"{1e3*r['tm']:.3f}"]
            lines.append(','.join(map(str, [name, '"'+dn+'"', par, *numbers])))
    with open(out, 'w') as f: f.write('\n'.join(lines)+'\n')

def score(roots):
    fd.P99 = False
    ratios, cells = {}, 0
    for d in (d for r in roots for d in folders(r)):
        name = os.path.basename(d); segs = fd.load_dir(d); rows = []
        for dn, fn in detectors(name).items(): rows += fd.run_det(segs, dn, fn)
        if name not in ONE_WAY: rows += fd.kofn_eval(segs)
        dets = [*{**fd.BASE, **fd.OURS}, 'k-of-n']; by = {x: [r for r in rows if r['det'] == x] for x in dets}
        eta, delay, _ = fd.budgets(segs)
        for m in BUDGETS:
            td = eta/2+delay+m*eta; g = fd.guard(rows, td)
            found = {x: fd.at_budget(by[x], td, g) for x in dets}
            mist = {x: r['mist'] for x, r in found.items() if r}
            best = min((v for x, v in mist.items() if x not in NOT_PUBLISHED), default=0)
            print(f'CELL {name} {m:g} guard {g:.6g} best {best} ' + ' '.join(f'{x}={v}' for x, v in mist.items()))
            if best == 0: continue
            cells += 1
            for x in dets: ratios.setdefault(x, []).append((mist[x]+1)/(best+1) if x in mist else 8.)
    print(f'\n{cells} cells')
    for x, r in sorted(ratios.items(), key=lambda p: np.log(p[1]).mean()): print(f'{x:22} {math.exp(np.log(r).mean()):.3f}')

if __name__ == '__main__':
    if sys.argv[1] == '--score': score(sys.argv[2:])
    else: golden(*sys.argv[1:])
