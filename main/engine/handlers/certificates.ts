/** Parity certificates: what is known of a model's numbers, and checking them. */
import { certifyAgainst, certifyItself } from '../../analysis/parity/certificate'
import { noScriptFor, referenceScript } from '../../analysis/parity/reference-script'
import type { Engine } from '../engine'
import type { HandlerPart } from '../handler'

type CertificateCalls = 'certificate.get' | 'certificate.make' | 'certificate.script'

export const certificateHandlers = ({ models, certificates }: Engine): HandlerPart<CertificateCalls> => ({
  'certificate.get': async ({ model: handle }) => {
    const model = await models.get(handle)
    const stored = await certificates.of(model.facts.fingerprint)
    return { ...stored, summary: await certificates.summary(model.facts) }
  },
  'certificate.make': async ({ model: handle, reference }, { signal, progress }) => {
    const model = await models.get(handle)
    const stamp = { ...certificates.versions, date: new Date().toISOString() }
    const options = {
      signal,
      onProgress: (done: number, total: number, what: string) => progress({ done, total, what }),
    }
    const made =
      reference === undefined
        ? await certifyItself(model, stamp, options)
        : await certifyAgainst(model, reference, stamp, options)
    await certificates.save(made)
    model.certificate = await certificates.summary(model.facts)
    return made
  },
  'certificate.script': async ({ model: handle }) => {
    const model = await models.get(handle)
    if (model.description.format === 'onnx') throw noScriptFor(model.facts.name)
    return referenceScript({ ...model.facts, place: model.place, tokenizer: model.tokenizer })
  },
})
