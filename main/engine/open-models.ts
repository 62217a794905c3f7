/**
 * Which models are open, by handle. A handle is made of fingerprint, provider, precision and memory budget, so it still means the same
 * after the engine was restarted and its models were opened again; a call that comes while that happens waits for it.
 */
import { canonicalJson } from '../../preload/canonical'
import { PatchbayError } from '../../preload/errors'
import type { ModelHandle, ModelSource } from '../../preload/model'
import type { OpenModel } from './open-model'
import { openModel, type OpenModelContext, type OpenOptions } from './opening'

export class OpenModels {
  private readonly models = new Map<ModelHandle, OpenModel>()
  /** By canonical source: the same model asked for twice at once is loaded once. */
  private readonly opening = new Map<string, Promise<OpenModel>>()
  private listener: () => void = () => undefined

  constructor(private readonly context: OpenModelContext) {}

  /** Opens a model, or returns it where it is open already; its entry in the library moves to the front. */
  async open(source: ModelSource, options: OpenOptions = {}): Promise<OpenModel> {
    const key = canonicalJson(source)
    const underWay = this.opening.get(key)
    if (underWay !== undefined) return underWay
    const opening = this.openNew(source, options)
    this.opening.set(key, opening)
    try {
      return await opening
    } finally {
      this.opening.delete(key)
    }
  }

  /** Opens in the background; a failure shows when the model is asked for, as `model.not-open`. */
  reopen(source: ModelSource): void {
    this.open(source).catch((error: unknown) => {
      console.error('A model could not be opened again:', error)
    })
  }

  /** @throws PatchbayError `model.not-open` */
  async get(handle: ModelHandle): Promise<OpenModel> {
    const found = this.models.get(handle)
    if (found !== undefined) return found
    await Promise.allSettled(this.opening.values())
    const opened = this.models.get(handle)
    if (opened !== undefined) return opened
    throw new PatchbayError('model.not-open', 'That model is not open.', {
      next: 'Open it again from the model menu.',
      field: 'model',
    })
  }

  /**
   * The open model that a request means: `handle` where given, else any with the request's fingerprint.
   * @throws PatchbayError `model.not-open`, or `model.mismatch` where the handle is of another model
   */
  async forRequest(fingerprint: string, handle?: ModelHandle): Promise<OpenModel> {
    if (handle === undefined) {
      await Promise.allSettled(this.opening.values())
      for (const model of this.models.values()) if (model.facts.fingerprint === fingerprint) return model
      throw new PatchbayError(
        'model.not-open',
        `No open model has the fingerprint ${fingerprint.slice(0, 12)}….`,
        {
          next: 'Open the model that the request was made for.',
          field: 'model',
        },
      )
    }
    const model = await this.get(handle)
    if (model.facts.fingerprint === fingerprint) return model
    throw new PatchbayError(
      'model.mismatch',
      `The request was made for the model ${fingerprint.slice(0, 12)}…, but ${model.facts.name} (${model.facts.fingerprint.slice(0, 12)}…) is open.`,
      { next: 'Open the model that the request was made for.', field: 'model' },
    )
  }

  async close(handle: ModelHandle): Promise<void> {
    const model = this.models.get(handle)
    if (model === undefined) return
    this.models.delete(handle)
    this.listener()
    await model.close()
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled(this.opening.values())
    await Promise.all([...this.models.keys()].map((handle) => this.close(handle)))
  }

  handles(): ModelHandle[] {
    return [...this.models.keys()]
  }

  sources(): ModelSource[] {
    return [...this.models.values()].map((model) => model.description.source)
  }

  /** Calls back whenever a model was opened or closed. */
  onChange(listener: () => void): void {
    this.listener = listener
  }

  private async openNew(source: ModelSource, options: OpenOptions): Promise<OpenModel> {
    const model = await openModel(source, this.context, options, (handle) => this.models.get(handle))
    if (this.models.get(model.description.handle) !== model) {
      this.models.set(model.description.handle, model)
      this.listener()
    }
    return model
  }
}
