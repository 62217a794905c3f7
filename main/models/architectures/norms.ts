/** The norms of the families, each as a maker for `Decoder.norm`. */
import type { NormSpec } from '../spec'
import { shifted, weight } from '../weights'

type NormMaker = (prefix: string, ...shape: number[]) => NormSpec

/** RMSNorm with a weight. */
export const rms =
  (eps: number): NormMaker =>
  (prefix, ...shape) => ({ kind: 'rms', eps, weight: weight(`${prefix}.weight`, ...shape), bias: null })

/** Gemma's RMSNorm: the checkpoint holds the weight as an offset from 1. */
export const rmsAroundOne =
  (eps: number): NormMaker =>
  (prefix, ...shape) => ({
    kind: 'rms',
    eps,
    weight: shifted(weight(`${prefix}.weight`, ...shape), 1),
    bias: null,
  })

/** LayerNorm with a weight, and a bias unless said otherwise. */
export const layerNormed =
  (eps: number, bias = true): NormMaker =>
  (prefix, ...shape) => ({
    kind: 'layer',
    eps,
    weight: weight(`${prefix}.weight`, ...shape),
    bias: bias ? weight(`${prefix}.bias`, ...shape) : null,
  })

/** LayerNorm without weights: nothing in the checkpoint. */
export const bareLayerNorm =
  (eps: number): NormMaker =>
  () => ({ kind: 'layer', eps, weight: null, bias: null })
