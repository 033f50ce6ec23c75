import protobuf from 'protobufjs'

/** As much of onnx.proto (onnx/onnx, IR version 8) as small models need; numbers of fields as there. */
const { nested } = {
  nested: {
    Model: { fields: { irVersion: { type: 'int64', id: 1 }, producerName: { type: 'string', id: 2 }, graph: { type: 'Graph', id: 7 }, opsetImport: { rule: 'repeated', type: 'Opset', id: 8 } } },
    Opset: { fields: { domain: { type: 'string', id: 1 }, version: { type: 'int64', id: 2 } } },
    Graph: { fields: { node: { rule: 'repeated', type: 'Node', id: 1 }, name: { type: 'string', id: 2 }, initializer: { rule: 'repeated', type: 'Tensor', id: 5 }, input: { rule: 'repeated', type: 'ValueInfo', id: 11 }, output: { rule: 'repeated', type: 'ValueInfo', id: 12 } } },
    Node: { fields: { input: { rule: 'repeated', type: 'string', id: 1 }, output: { rule: 'repeated', type: 'string', id: 2 }, opType: { type: 'string', id: 4 }, attribute: { rule: 'repeated', type: 'Attribute', id: 5 } } },
    Attribute: { fields: { name: { type: 'string', id: 1 }, i: { type: 'int64', id: 3 }, t: { type: 'Tensor', id: 5 }, g: { type: 'Graph', id: 6 }, ints: { rule: 'repeated', type: 'int64', id: 8 }, type: { type: 'int32', id: 20 } } },
    Tensor: { fields: { dims: { rule: 'repeated', type: 'int64', id: 1 }, dataType: { type: 'int32', id: 2 }, name: { type: 'string', id: 8 }, rawData: { type: 'bytes', id: 9 } } },
    ValueInfo: { fields: { name: { type: 'string', id: 1 }, type: { type: 'Type', id: 2 } } },
    Type: { fields: { tensorType: { type: 'TensorType', id: 1 } } },
    TensorType: { fields: { elemType: { type: 'int32', id: 1 }, shape: { type: 'Shape', id: 2 } } },
    Shape: { fields: { dim: { rule: 'repeated', type: 'Dimension', id: 1 } } },
    Dimension: { fields: { dimValue: { type: 'int64', id: 1 }, dimParam: { type: 'string', id: 2 } } },
  },
}
const Model = protobuf.Root.fromJSON({ nested }).lookupType('Model')

const TYPES = { float32: 1, int32: 6, int64: 7, bool: 9 } as const
type ElementType = keyof typeof TYPES
/** A number is fixed, a name is whatever comes. */
export type Port = { name: string; type: ElementType; dims: readonly (number | string)[] }
export type GraphSpec = { nodes: object[]; constants: object[]; inputs: readonly Port[]; outputs: readonly Port[] }

const valueInfo = ({ name, type, dims }: Port) => ({ name, type: { tensorType: { elemType: TYPES[type], shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) } } } })
const graphOf = ({ nodes, constants, inputs, outputs }: GraphSpec, name: string) => ({ name, node: nodes, initializer: constants, input: inputs.map(valueInfo), output: outputs.map(valueInfo) })

export function floats(name: string, dims: readonly number[], data: Float32Array): object {
  return { name, dims, dataType: TYPES.float32, rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) }
}
export function ints(name: string, dims: readonly number[], data: readonly number[]): object {
  return { name, dims, dataType: TYPES.int64, rawData: new Uint8Array(BigInt64Array.from(data, BigInt).buffer) }
}
export function node(opType: string, input: readonly string[], output: readonly string[], attributes: Record<string, number | readonly number[] | GraphSpec> = {}): object {
  return { opType, input, output, attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)) }
}

function attributeOf(name: string, value: number | readonly number[] | GraphSpec): object {
  if (typeof value === 'number') return { name, i: value, type: 2 }
  if ('nodes' in value) return { name, g: graphOf(value, name), type: 5 }
  return { name, ints: value, type: 7 }
}

/** The bytes of an .onnx file. */
export const onnxModel = (graph: GraphSpec): Uint8Array => Model.encode(Model.fromObject({ irVersion: 8, producerName: 'trunkline tests', opsetImport: [{ domain: '', version: 17 }], graph: graphOf(graph, 'graph') })).finish()
