"""Finding all objects of an image with the dense head of the embedded network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from .concepts import Candidates
from .embedded_levels import Level
from .embedded_pyramid import Pyramid

FOREGROUND = 0.5
RISE = 0.08
SMALLEST_AREA = 12

def pieces_of(level, shape):
    d=torch.sigmoid(level.dense.float()).cpu().numpy()
    fg,ds,bd=d
    ds=ndimage.gaussian_filter(ds,.7); s=ds-.35*bd
    base=np.where(fg>.5,s,0)
    rec=reconstruction(base-RISE,base)
    mk,_=ndimage.label((base-rec>RISE*.5)&(ds>.3))
    lab=watershed(-s,mk,mask=fg>.5)
    cell=int(2/level.scale)
    out=[]
    for i,sl in enumerate(ndimage.find_objects(lab)):
        if sl is None: continue
        m=lab[sl]==i+1
        if m.sum()*cell**2<SMALLEST_AREA: continue
        er=m&~ndimage.binary_erosion(m)
        score=float(fg[sl][m].mean())
        box=np.array([sl[0].start,sl[1].start,sl[0].stop,sl[1].stop])*cell
        M=m.repeat(cell,0).repeat(cell,1)
        box[2:]=np.minimum(box[2:],shape); M=M[:box[2]-box[0],:box[3]-box[1]]
        out.append((box,M,score,dict(bd_in=float(bd[sl][m].mean()),bd_er=float(bd[sl][er].mean()),fg=score,dmax=float(ds[sl][m].max()),scale=level.scale)))
    return out

def find_everything(pyramid: Pyramid) -> Candidates:
    """Find the objects of an image on the levels on which they show best."""
    kept=pieces_of(pyramid.levels[0],pyramid.shape)
    boxes = np.array([piece[0] for piece in kept], np.int64).reshape(-1, 4)
    scores = np.array([piece[2] for piece in kept], np.float64)
    return Candidates(pyramid.shape, boxes, tuple(piece[1] for piece in kept), scores)
