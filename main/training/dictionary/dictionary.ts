/** A dictionary ready to compute: encodes activations, decodes features, reconstructs. */
import { PatchbayError } from '../../../preload/errors'
import { sizeOf, type Tensor } from '../../../preload/tensor'
import { GraphBuilder } from '../../onnx/builder'
import type { Graph, Value } from '../../onnx/graph'
import { floatData, floats, Session } from '../../runtime/session'
import type { DictionaryConfig, DictionaryWeights } from './config'
import { decodeNodes, encodeNodes } from './nodes'
import type { SavedDictionary } from './saelens-folder'

export class Dictionary {
  private constructor(
    readonly config: DictionaryConfig,
    readonly weights: DictionaryWeights,
    private readonly session: Session,
  ) {}

  /** @throws PatchbayError `run.failed`, `memory.exhausted` */
  static async create({ config, weights }: SavedDictionary): Promise<Dictionary> {
    const session = await Session.create(dictionaryGraph(config, weights), { provider: 'cpu', prepack: true })
    return new Dictionary(config, weights, session)
  }

  /**
   * Features [rows, d_sae] and reconstruction [rows, d_out] of x [rows, d_in], or of heads' z [rows, heads, d_head], whose
   * reconstruction is split into heads again.
   * @throws PatchbayError `input.invalid` for another width
   */
  async run(x: Tensor): Promise<{ features: Tensor; reconstruction: Tensor }> {
    const { dIn, dOut, dSae, transcoder } = this.config
    const width = sizeOf(x.shape.slice(1))
    if (width !== dIn)
      throw new PatchbayError(
        'input.invalid',
        `The dictionary reads activations of ${dIn} numbers, not ${width}.`,
        {
          next: 'Use it at the hook point that it was trained on.',
        },
      )
    const rows = x.shape[0]
    const out = await this.session.run({ x: floats(x.data, [rows, dIn]) }, ['features', 'reconstruction'])
    return {
      features: { shape: [rows, dSae], data: floatData(out.features) },
      reconstruction: {
        shape: transcoder ? [rows, dOut] : x.shape,
        data: floatData(out.reconstruction),
      },
    }
  }

  release(): Promise<void> {
    return this.session.release()
  }
}

/** Input: `x` [rows, d_in]. Outputs: `features` [rows, d_sae], `reconstruction` [rows, d_out] with any skip connection. */
function dictionaryGraph(config: DictionaryConfig, weights: DictionaryWeights): Graph {
  const g = new GraphBuilder('dictionary')
  const x = g.input('x', 'float32', ['rows', config.dIn])
  const values = new Map<string, Value>()
  for (const [name, { shape, data }] of weights) values.set(name, g.inline(name, 'float32', shape, data))
  const { features, undo } = encodeNodes(g, config, values, x)
  const reconstruction = decodeNodes(g, config, values, features, undo, x)
  g.output(features, 'features')
  g.output(reconstruction, 'reconstruction')
  return g.finish()
}
