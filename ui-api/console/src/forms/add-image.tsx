import { useState } from 'react';
import { client } from '../api/client.ts';
import { text } from '../i18n/text.ts';
import { ChoiceTiles } from '../ui/choice-tiles.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { TextField } from '../ui/field.tsx';
import { isName } from './vm-create-model.ts';

type Kind = 'build' | 'url' | 'file';
type Build = 'tiny' | 'debian';
const kinds: readonly Kind[] = ['build', 'url', 'file'];
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

export function AddImage({ taken, onClose }: { taken: readonly string[]; onClose: () => void }) {
  const [kind, setKind] = useState<Kind>('build');
  const [build, setBuild] = useState<Build>(taken.includes('tiny') ? 'debian' : 'tiny');
  const [place, setPlace] = useState('');
  const [checksum, setChecksum] = useState('');
  const [ownName, setOwnName] = useState<string>();
  const name = ownName ?? (kind === 'build' ? build : nameFrom(place));
  const nameError = name !== '' && !isName(name) ? text.create.nameBad : undefined;
  const add = () => {
    const source = kind === 'build' ? { build } : kind === 'url' ? { url: place.trim() } : { file: place.trim() };
    return client.images.create({ name, source, ...(checksum.trim() === '' ? {} : { checksum: checksum.trim() }) });
  };
  return (
    <Dialog
      title={text.images.add}
      submit={text.common.add}
      width="medium"
      isDisabled={name === '' || nameError !== undefined || (kind !== 'build' && place.trim() === '')}
      onSubmit={add}
      onClose={onClose}
    >
      <ChoiceTiles
        legend={text.images.kindLabel}
        value={kind}
        onChange={(value) => setKind(value as Kind)}
        choices={kinds.map((value) => ({ value, title: text.images.kinds[value] }))}
      />
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
      {kind !== 'build' && (
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
