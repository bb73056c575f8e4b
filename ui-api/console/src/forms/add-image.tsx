/** New images: well-known, sent from here (several at once), fetched, built, or taken from the box. */
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

type Props = { taken: readonly string[] /** Dropped on the page. */; dropped?: readonly File[]; onClose: () => void };

export function AddImage({ taken, dropped = [], onClose }: Props) {
  const [kind, setKind] = useState<Kind>(dropped.length > 0 ? 'upload' : 'catalogue');
  const [build, setBuild] = useState<Build>(taken.includes('tiny') ? 'debian' : 'tiny');
  const [place, setPlace] = useState('');
  const [files, setFiles] = useState(dropped);
  /** Of several files, by their place. */
  const [ownNames, setOwnNames] = useState<Readonly<Record<number, string>>>({});
  const [checksum, setChecksum] = useState('');
  const [ownEntry, setEntry] = useState<string>();
  const [ownName, setOwnName] = useState<string>();
  const { data: catalogue = [] } = useQuery(catalogueQuery);
  const entry = ownEntry ?? catalogue[0]?.name ?? '';
  const names: Record<Kind, string> = {
    catalogue: entry.replaceAll('.', '-'),
    upload: nameFrom(files[0]?.name ?? ''),
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
    upload: files.length === 0,
    url: place.trim() === '',
    build: false,
    file: place.trim() === '',
  };
  const name = ownName ?? names[kind];
  const isSeveral = kind === 'upload' && files.length > 1;
  const wished = isSeveral ? files.map((file, index) => ownNames[index] ?? nameFrom(file.name)) : [name];
  const errorOf = (each: string): string | undefined =>
    each !== '' && !isName(each)
      ? text.create.nameBad
      : wished.indexOf(each) !== wished.lastIndexOf(each) || (isSeveral && taken.includes(each))
        ? text.images.nameTwice
        : undefined;
  const hasChecksum = (kind === 'upload' && !isSeveral) || kind === 'url' || kind === 'file';

  async function upload(): Promise<void> {
    for (const [index, file] of files.entries()) {
      const image = wished[index] ?? '';
      try {
        await client.images.create({ name: image, source: { upload: {} }, ...checksumOf() });
        startSending(image, file, { onFailure: notifyUpload });
      } catch (error) {
        // The others are sent all the same; a single one says it in this dialog.
        if (!isSeveral) throw error;
        notifyUpload(image, error);
      }
    }
  }
  const checksumOf = () => (hasChecksum && checksum.trim() !== '' ? { checksum: checksum.trim() } : {});
  const add = () => (kind === 'upload' ? upload() : client.images.create({ name, source: sources[kind], ...checksumOf() }));
  return (
    <Dialog
      title={text.images.add}
      submit={text.common.add}
      width="medium"
      isDisabled={wished.some((each) => each === '' || errorOf(each) !== undefined) || isMissing[kind]}
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
      {kind === 'upload' && (
        <FileField label={text.images.upload} help={text.images.uploadHelp} isMany files={files} onFiles={setFiles} />
      )}
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
      {isSeveral ? (
        wished.map((each, index) => (
          <TextField
            key={`${index} ${files[index]?.name}`}
            label={text.images.nameOf(files[index]?.name ?? '')}
            isRequired
            value={each}
            onChange={(next) => setOwnNames({ ...ownNames, [index]: next })}
            error={errorOf(each)}
          />
        ))
      ) : (
        <TextField label={text.common.name} pointer="/name" isRequired value={name} onChange={setOwnName} error={errorOf(name)} />
      )}
    </Dialog>
  );
}
