/**
 * Certificates on disk: one JSON file for each combination (fingerprint, provider, precision) and kind of source, in a folder
 * named by the fingerprint. A new one replaces the one before. A file that can not be read is passed over with a warning.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import {
  certificate as certificateSchema,
  type Certificate,
  type CombinationCertificate,
} from '../../../preload/certificate'
import { asPatchbayError } from '../../../preload/errors'
import { precisions, providers, type CertificateSummary } from '../../../preload/run'
import { writeWhole } from '../../files/durable-file'
import { quoted } from '../../models/formats/malformed'
import { summarise, type Versions } from './certificate'

/** The largest has some kilobytes. */
const LARGEST = 2 ** 20

export interface StoredCertificates {
  /** Of all providers and precisions, newest first. */
  certificates: Certificate[]
  /** Files that were passed over, in sentences. */
  warnings: string[]
}

type Combination = Pick<Certificate, 'fingerprint' | 'provider' | 'precision'>

export class CertificateStore {
  /** @param folder where certificates lie, e.g. `<dataDir>/certificates` */
  constructor(
    private readonly folder: string,
    readonly versions: Versions,
  ) {}

  /** Those of a model. Never fails: what can not be read is a warning. */
  async of(fingerprint: string): Promise<StoredCertificates> {
    // Fingerprints also come from files; only a hash may name a folder.
    if (!/^[0-9a-f]{64}$/.test(fingerprint)) return { certificates: [], warnings: [] }
    const folder = path.join(this.folder, fingerprint)
    const certificates: Certificate[] = []
    const warnings: string[] = []
    const passedOver = (what: string, why: string): void => {
      warnings.push(`The certificate ${quoted(what)} is passed over: ${why}`)
    }
    let names: string[] = []
    try {
      names = (await readdir(folder)).filter((name) => name.endsWith('.json')).sort()
    } catch (error) {
      const problem = asPatchbayError(error)
      if (problem.code !== 'file.missing') passedOver(folder, problem.message)
    }
    for (const name of names)
      try {
        const found = await readCertificate(path.join(folder, name))
        if (found === null) passedOver(name, 'it is damaged, or of a newer Patchbay.')
        else if (found.fingerprint !== fingerprint) passedOver(name, 'it is of another model.')
        else certificates.push(found)
      } catch (error) {
        passedOver(name, asPatchbayError(error).message)
      }
    certificates.sort((a, b) => (a.date < b.date ? 1 : -1))
    return { certificates, warnings }
  }

  /** @throws PatchbayError `disk.full`, `disk.failed` */
  async save(one: Certificate): Promise<void> {
    const name = `${one.provider}.${one.precision}.${one.source.kind}.json`
    const bytes = new TextEncoder().encode(`${JSON.stringify(certificateSchema.parse(one), null, 2)}\n`)
    await writeWhole(path.join(this.folder, one.fingerprint, name), bytes)
  }

  /** What is known of a combination; null where this version of Patchbay never checked it. */
  async summary({ fingerprint, provider, precision }: Combination): Promise<CertificateSummary | null> {
    const { certificates } = await this.of(fingerprint)
    const own = certificates.filter((one) => one.provider === provider && one.precision === precision)
    return summarise(own, this.versions)
  }

  /** What is known of a model on each provider and in each precision. */
  async combinations(fingerprint: string): Promise<CombinationCertificate[]> {
    const { certificates } = await this.of(fingerprint)
    return providers.flatMap((provider) =>
      precisions.flatMap((precision) => {
        const own = certificates.filter((one) => one.provider === provider && one.precision === precision)
        const summary = summarise(own, this.versions)
        return summary === null ? [] : [{ ...summary, provider, precision }]
      }),
    )
  }
}

/** The certificate in a file, or null where the file holds none. */
async function readCertificate(file: string): Promise<Certificate | null> {
  if ((await stat(file)).size > LARGEST) return null
  const parsed = certificateSchema.safeParse(parseJson(await readFile(file, 'utf8')))
  return parsed.success ? parsed.data : null
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // fails the schema, which is what the caller reports
  }
}
