/** Which files a browser loads until a page is drawn, from Vite's manifest. Pure. */

/** https://vite.dev/guide/backend-integration: one entry per source or chunk. */
export type Manifest = Record<string, { file: string; imports?: string[]; css?: string[]; dynamicImports?: string[] }>;

/** Script and style files that the given entries load, with all they import statically. */
export function firstPaintFiles(manifest: Manifest, entries: readonly string[]): { js: string[]; css: string[] } {
  const seen = new Set<string>();
  const css = new Set<string>();
  const visit = (key: string): void => {
    const chunk = manifest[key];
    if (!chunk || seen.has(key)) return;
    seen.add(key);
    for (const file of chunk.css ?? []) css.add(file);
    for (const each of chunk.imports ?? []) visit(each);
  };
  for (const entry of entries) visit(entry);
  const js = [...seen].flatMap((key) => (manifest[key] ? [manifest[key].file] : []));
  return { js: [...new Set(js)], css: [...css] };
}
