/** A new image: well-known, sent from here, fetched, built, or taken from the box. */
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { ImageCreate } from '../../../client/types.ts';
import { client } from '../api/client.ts';
import { catalogueQuery } from '../api/queries.ts';
import { startSending } from '../api/uploads.ts';
import { text } from '../i18n/text.ts';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { FileField } from '../ui/file-field.tsx';
import { SelectField } from '../ui/select-field.tsx';
import { notifyUpload } from './continue-upload.tsx';
import { isName } from './vm-create-model.ts';

type Kind = 'catalogue' | 'upload' | 'url' | 'build' | 'file';
type Build = 'tiny' | 'debian';
const kinds: readonly Kind[] = ['catalogue', 'upload', 'url', 'build', 'file'];
const builds: readonly Build[] = ['tiny', 'debian'];

/** `https://…/debian-13-genericcloud.qcow2` → `debian-13-genericcloud`. */
function nameFrom(path: string): string {
  const file = path.split(/[?#]/, 1)[0]?.split('/').pop() ?? '';
  return file
    .replace(/\.(qcow2|raw|img|vmdk|vhdx?|iso|xz|gz|zst|bz2)/g, '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63);
}

type Props = { taken: readonly string[] /** Dropped on the page. */; dropped?: File | undefined; onClose: () => void };

export function AddImage({ taken, dropped, onClose }: Props) {
  const [kind, setKind] = useState<Kind>(dropped ? 'upload' : 'catalogue');
  const [build, setBuild] = useState<Build>(taken.includes('tiny') ? 'debian' : 'tiny');
  const [place, setPlace] = useState('');
  const [file, setFile] = useState(dropped);
  const [checksum, setChecksum] = useState('');
  const [ownEntry, setEntry] = useState<string>();
  const [ownName, setOwnName] = useState<string>();
  const { data: catalogue = [] } = useQuery(catalogueQuery);
  const entry = ownEntry ?? catalogue[0]?.name ?? '';
  const names: Record<Kind, string> = {
    catalogue: entry.replaceAll('.', '-'),
    upload: nameFrom(file?.name ?? ''),
    url: nameFrom(place),
    build,
    file: nameFrom(place),
  };
  const sources: Record<Kind, ImageCreate['source']> = {
    catalogue: { catalogue: entry },
    upload: { upload: {} },
    url: { url: place.trim() },
    build: { build },
    file: { file: place.trim() },
  };
  const isMissing: Record<Kind, boolean> = {
    catalogue: entry === '',
    upload: file === undefined,
    url: place.trim() === '',
    build: false,
    file: place.trim() === '',
  };
  const name = ownName ?? names[kind];
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const hasChecksum = kind === 'upload' || kind === 'url' || kind === 'file';
  async function add(): Promise<void> {
    const given = hasChecksum && checksum.trim() !== '' ? { checksum: checksum.trim() } : {};
    await client.images.create({ name, source: sources[kind], ...given });
    if (kind === 'upload' && file) startSending(name, file, { onFailure: notifyUpload });
  }
  return (
    <Dialog
      title={text.images.add}
      submit={text.common.add}
      width="medium"
      isDisabled={name === '' || nameError !== undefined || isMissing[kind]}
      onSubmit={add}
      onClose={onClose}
    >
      <ChoiceTiles
        legend={text.images.kindLabel}
        value={kind}
        onChange={(value) => setKind(value as Kind)}
        choices={kinds.map((value) => ({ value, title: text.images.kinds[value] }))}
      />
      {kind === 'catalogue' && (
        <SelectField
          label={text.images.catalogue}
          pointer="/source/catalogue"
          isRequired
          value={entry}
          onChange={setEntry}
          help={text.images.catalogueHelp}
          options={catalogue.map(({ name: value, title }) => ({ value, label: title }))}
        />
      )}
      {kind === 'upload' && <FileField label={text.images.upload} help={text.images.uploadHelp} file={file} onFile={setFile} />}
      {kind === 'build' && (
        <ChoiceTiles
          legend={text.vms.image}
          value={build}
          onChange={(value) => setBuild(value as Build)}
          choices={builds.map((value) => ({ value, title: text.images.builds[value], detail: text.images.buildDetail[value] }))}
        />
      )}
      {kind === 'url' && (
        <TextField
          label={text.images.url}
          pointer="/source/url"
          type="url"
          isRequired
          value={place}
          onChange={setPlace}
          help={text.images.urlHelp}
        />
      )}
      {kind === 'file' && (
        <TextField
          label={text.images.file}
          pointer="/source/file"
          isRequired
          value={place}
          onChange={setPlace}
          help={text.images.fileHelp}
        />
      )}
      {hasChecksum && (
        <TextField
          label={text.images.checksum}
          pointer="/checksum"
          value={checksum}
          onChange={setChecksum}
          help={text.images.checksumHelp}
        />
      )}
      <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setOwnName} error={nameError} />
    </Dialog>
  );
}
