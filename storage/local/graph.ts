/**
 * QEMU's view of a volume: one `file` and one `qcow2` node for each file of the chain, every backing file named
 * explicitly (what a qcow2 header says about its backing file is never followed), all but the head read-only.
 */
import type { BlockdevGraph, BlockdevOptions } from '../driver.ts';
import type { Layer } from './record.ts';

/** QEMU's limit for node names (include/block/block_int: char node_name[32]). */
const maxNodeName = 31;

export type GraphLayer = { layer: Layer; path: string };

/** Name of a layer's format node. Own generations by number, as a later snapshot must not meet a name in use. */
export const nodeNameOf = (prefix: string, volumeId: string, layer: Layer, depth: number): string =>
  !('image' in layer) && layer.volume === volumeId ? `${prefix}-g${layer.generation}` : `${prefix}-b${depth}`;

/** The prefix that a top node's name was made with. */
export const prefixOf = (node: string): string => node.replace(/-g\d+$/, '');

/** The nodes of a chain, bottom first. `direct`: the file system can do O_DIRECT. Pure. */
export function blockdevGraph(
  volumeId: string,
  prefix: string,
  chain: readonly GraphLayer[],
  options: { direct: boolean },
): BlockdevGraph {
  const nodes: BlockdevOptions[] = [];
  let below: string | null = null;
  chain.forEach(({ layer, path }, depth) => {
    const name = nodeNameOf(prefix, volumeId, layer, depth);
    nodes.push(...layerNodes(name, path, { ...options, writable: depth === chain.length - 1, backing: below }));
    below = name;
  });
  return { nodes, top: below ?? '' };
}

export type LayerNodeOptions = { direct: boolean; writable: boolean; backing: string | null };

export function layerNodes(name: string, path: string, options: LayerNodeOptions): [BlockdevOptions, BlockdevOptions] {
  const fileNode = `${name}f`;
  if (fileNode.length > maxNodeName) throw new Error(`node name ${fileNode} is longer than ${maxNodeName}`);
  const shared = {
    'read-only': !options.writable,
    cache: { direct: options.direct, 'no-flush': false },
    discard: 'unmap',
  };
  return [
    { driver: 'file', 'node-name': fileNode, filename: path, locking: 'on', ...shared },
    {
      driver: 'qcow2',
      'node-name': name,
      file: fileNode,
      backing: options.backing,
      ...shared,
      ...(options.writable ? { 'detect-zeroes': 'unmap' } : {}),
    },
  ];
}
