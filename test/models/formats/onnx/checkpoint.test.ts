/** ONNX files on disk: where their weights may lie, and where not. */
import { execFileSync, spawnSync } from 'node:child_process'
import { link, mkdir, symlink, truncate } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openOnnx } from '../../../../main/models/formats/onnx/checkpoint'
import { findOnnx, openOnnxModel } from '../../../../main/models/formats/onnx/find'
import { GraphSurgery } from '../../../../main/onnx/exported/surgery'
import { writeModel } from '../../../../main/onnx/exported/write'
import { floats, Session } from '../../../../main/runtime/session'
import { externalTensor, floatTensor, modelBytes, node, smallGraph, value } from '../../../support/onnx-model'
import { failureOf, useScratch } from '../../scratch'

const scratch = useScratch()

/** y = x·w with w [20, 20] in another file. */
const external = (place: Record<string, string>): Uint8Array =>
  modelBytes({
    node: [node('MatMul', ['x', 'w'], ['y'])],
    initializer: [externalTensor('w', [20, 20], place)],
    input: [value('x', ['batch', 20])],
    output: [value('y', ['batch', 20])],
  })
const weights = new Uint8Array(Float32Array.from({ length: 400 }, (_, i) => i).buffer)
const open = async (place: Record<string, string>) =>
  openOnnx(await scratch.write('model.onnx', external(place)), undefined)
const refused = (place: Record<string, string>) => failureOf(() => open(place))

/** x·w for x of ones, through a session over the files. */
async function product(file: string): Promise<Float32Array> {
  const checkpoint = await openOnnx(file, undefined)
  const { graph } = checkpoint.model
  const bytes = writeModel(checkpoint.model, new GraphSurgery(graph, 18).finish())
  const session = await Session.load(bytes, 'test', {
    provider: 'cpu',
    folder: checkpoint.folder,
    prepack: false,
  })
  const { y } = await session.run({ x: floats(new Float32Array(20).fill(1), [1, 20]) }, ['y'])
  await session.release()
  await checkpoint.close()
  return y.data as Float32Array
}

const columnSums = Float32Array.from({ length: 20 }, (_, column) => 20 * column + 20 * 190)

describe('an ONNX file', () => {
  it('is read by name, and its weights by position', async () => {
    const file = await scratch.write('model.onnx', modelBytes(smallGraph()))
    const checkpoint = await openOnnx(file, { n_ctx: 7 })
    expect([...checkpoint.tensors.keys()]).toEqual(['w', 'b'])
    expect((await checkpoint.readFloat32('w'))[1]).toBeCloseTo(Math.sin(1))
    expect([...(await checkpoint.readFloat32('b'))].slice(0, 3)).toEqual([0, 1, 2])
    expect(checkpoint.files).toEqual([checkpoint.tensors.get('w')?.file])
    await checkpoint.close()
  })

  it('computes with weights that stay in it, wherever they begin', async () => {
    for (const padding of ['', 'a', 'ab', 'abc']) {
      const graph = smallGraph()
      const named = modelBytes({
        ...graph,
        name: `graph${padding}`,
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [
          floatTensor(
            'w',
            [20, 20],
            Float32Array.from({ length: 400 }, (_, i) => i),
          ),
        ],
      })
      expect(await product(await scratch.write('model.onnx', named))).toEqual(columnSums)
    }
  })

  it('computes with weights in a file beside it, or below it', async () => {
    await mkdir(path.join(scratch.folder, 'parts'))
    for (const name of ['model.onnx_data', 'parts/w.bin']) {
      await scratch.write(name, Uint8Array.from([...new Uint8Array(8), ...weights]))
      const file = await scratch.write(
        'model.onnx',
        external({ location: name, offset: '8', length: '1600' }),
      )
      expect(await product(file)).toEqual(columnSums)
    }
  })

  it('opens through the links of a hub cache, into its one folder of files', async () => {
    const [blobs, snapshot] = ['blobs', 'snapshot'].map((name) => path.join(scratch.folder, name))
    await mkdir(blobs)
    await mkdir(snapshot)
    await scratch.write('blobs/aaa', external({ location: 'model.onnx_data' }))
    await scratch.write('blobs/bbb', weights)
    await symlink('../blobs/aaa', path.join(snapshot, 'model.onnx'))
    await symlink('../blobs/bbb', path.join(snapshot, 'model.onnx_data'))
    expect(await product(path.join(snapshot, 'model.onnx'))).toEqual(columnSums)
  })
})

describe('external data is refused', () => {
  it.each([
    '../w.bin',
    'parts/../../w.bin',
    '..\\w.bin',
    '/etc/passwd',
    'C:\\w.bin',
    '\\\\host\\share\\w.bin',
    'C:w.bin',
  ])('by the path %s', async (location) => {
    const error = await refused({ location })
    expect(error).toMatchObject({ code: 'file.outside', field: 'w' })
  })

  it('through a symbolic link, to a file or to a folder', async () => {
    await mkdir(path.join(scratch.folder, 'elsewhere'))
    await scratch.write('elsewhere/w.bin', weights)
    await symlink('elsewhere/w.bin', path.join(scratch.folder, 'w.bin'))
    await symlink('elsewhere', path.join(scratch.folder, 'parts'))
    for (const location of ['w.bin', 'parts/w.bin'])
      expect(await refused({ location })).toMatchObject({ code: 'file.outside', field: 'w' })
  })

  it('in a file with a second name', async () => {
    await scratch.write('w.bin', weights)
    await link(path.join(scratch.folder, 'w.bin'), path.join(scratch.folder, 'other.bin'))
    const error = await refused({ location: 'w.bin' })
    expect(error.code).toBe('file.outside')
    expect(error.message).toMatch(/hard link/)
  })

  it.skipIf(process.platform === 'win32')('in a pipe or a folder, and a model that is a device', async () => {
    execFileSync('mkfifo', [path.join(scratch.folder, 'pipe')])
    await mkdir(path.join(scratch.folder, 'folder'))
    for (const location of ['pipe', 'folder'])
      expect(await refused({ location })).toMatchObject({ code: 'file.unreadable', field: 'w' })
    const zero = openOnnx('/dev/zero', undefined)
    await expect(zero).rejects.toMatchObject({ code: 'file.unreadable' })
  })

  it.skipIf(process.getuid?.() !== 0)('in a device in its own folder (made as root)', async ({ skip }) => {
    const made = spawnSync('mknod', [path.join(scratch.folder, 'zero'), 'c', '1', '5'])
    if (made.status !== 0) skip('this machine lets nobody make devices')
    expect(await refused({ location: 'zero' })).toMatchObject({ code: 'file.unreadable', field: 'w' })
  })

  it('in a file that is not there', async () => {
    expect(await refused({ location: 'gone.bin' })).toMatchObject({ code: 'model.incomplete', field: 'w' })
    expect(await refused({})).toMatchObject({ code: 'file.malformed', field: 'w.location' })
  })

  it.each([
    [{ offset: '-8' }, 'w.offset'],
    [{ offset: '1e3' }, 'w.offset'],
    [{ offset: '99999999999999999999' }, 'w.offset'],
    [{ offset: '8' }, 'w'],
    [{ length: '1596' }, 'w'],
    [{ offset: '4', length: '1600' }, 'w'],
  ])('at a place that is not in the file: %j', async (place, field) => {
    await scratch.write('w.bin', weights)
    expect(await refused({ location: 'w.bin', ...place })).toMatchObject({ code: 'file.malformed', field })
  })

  it('in a file that was cut off', async () => {
    await scratch.write('w.bin', weights)
    await truncate(path.join(scratch.folder, 'w.bin'), 1599)
    const error = await refused({ location: 'w.bin' })
    expect(error).toMatchObject({ code: 'file.malformed', file: path.join(scratch.folder, 'w.bin') })
  })
})

describe('errors of the reader', () => {
  it('name the file, the place and what to do', async () => {
    const bytes = modelBytes(smallGraph())
    const file = await scratch.write('model.onnx', bytes.subarray(0, bytes.length - 3))
    const error = await failureOf(() => openOnnx(file, undefined))
    expect(error).toMatchObject({ code: 'file.malformed', file })
    expect(error.message).toMatch(/^model\.onnx: .* \(byte \d+\)\.$/)
    expect(error.message.match(/\(byte/g)).toHaveLength(1)
    expect(error.next).toBeDefined()
  })
})

describe('a graph with a loop', () => {
  it('opens with the warning that a run may not end by itself', async () => {
    const body = {
      name: 'body',
      node: [node('Identity', ['go'], ['still']), node('Add', ['v', 'one'], ['more'])],
      input: [value('i', [], 7), value('go', [], 9), value('v', [1])],
      output: [value('still', [], 9), value('more', [1])],
    }
    const file = await scratch.write(
      'model.onnx',
      modelBytes({
        node: [node('Loop', ['', 'yes', 'x'], ['y'], { body: { graph: body } }, { name: 'spin' })],
        initializer: [
          floatTensor('one', [1], [1]),
          { name: 'yes', dims: [], dataType: 9, rawData: Uint8Array.of(1) },
        ],
        input: [value('x', [1])],
        output: [value('y', [1])],
      }),
    )
    const { warnings, close } = await openOnnx(file, undefined)
    expect(warnings.join()).toMatch(/loop \(spin\).*stopped/)
    await close()
  })
})

describe('a folder', () => {
  it('stands for its model.onnx, its only ONNX file, or those in its folder onnx', async () => {
    expect(await findOnnx(scratch.folder)).toBeNull()
    await mkdir(path.join(scratch.folder, 'onnx'))
    const inner = await scratch.write('onnx/model.onnx', modelBytes(smallGraph()))
    expect(await findOnnx(scratch.folder)).toBe(inner)
    const other = await scratch.write('decoder.onnx', modelBytes(smallGraph()))
    expect(await findOnnx(scratch.folder)).toBe(other)
    const main = await scratch.write('model.onnx', modelBytes(smallGraph()))
    expect(await findOnnx(scratch.folder)).toBe(main)
    expect(await findOnnx(main)).toBe(main)
  })

  it('brings its config.json along, also from around the folder onnx', async () => {
    await expect(openOnnxModel(scratch.folder)).rejects.toMatchObject({ code: 'file.missing' })
    await mkdir(path.join(scratch.folder, 'onnx'))
    await scratch.write('onnx/model.onnx', modelBytes(smallGraph()))
    await scratch.write('config.json', '{"n_ctx": 3}')
    const around = await openOnnxModel(scratch.folder)
    await scratch.write('onnx/config.json', '{"n_ctx": 4}')
    const beside = await openOnnxModel(scratch.folder)
    expect([around.config, beside.config]).toEqual([{ n_ctx: 3 }, { n_ctx: 4 }])
    await Promise.all([around.close(), beside.close()])
  })

  it('with weights of another kind is not taken for an export', async () => {
    await scratch.write('model.onnx', modelBytes(smallGraph()))
    await scratch.write('model.safetensors', 'x')
    expect(await findOnnx(scratch.folder)).toBeNull()
  })
})
