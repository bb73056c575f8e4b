import { useId, useState } from 'react';
import { client } from '../api/client.ts';
import { text } from '../i18n/text.ts';
import { Dialog } from '../ui/dialog.tsx';
import { LongTextField } from '../ui/field.tsx';

/** Two texts in PEM, pasted or taken from files; what does not fit is said at its field. */
export function ReplaceCertificate({ onDone, onClose }: { onDone: () => void; onClose: () => void }) {
  const [cert, setCert] = useState('');
  const [key, setKey] = useState('');
  async function replace(): Promise<void> {
    await client.request('PUT', '/v1/node/certificate', { body: { cert, key } });
    onDone();
  }
  return (
    <Dialog
      title={text.certificate.replaceTitle}
      description={text.certificate.replaceHelp}
      submit={text.certificate.submit}
      width="medium"
      isDisabled={cert.trim() === '' || key.trim() === ''}
      onSubmit={replace}
      onClose={onClose}
    >
      <PemField
        label={text.certificate.cert}
        pointer="/cert"
        help={text.certificate.certHelp}
        placeholder="-----BEGIN CERTIFICATE-----"
        value={cert}
        onChange={setCert}
      />
      <PemField
        label={text.certificate.key}
        pointer="/key"
        help={text.certificate.keyHelp}
        placeholder="-----BEGIN PRIVATE KEY-----"
        value={key}
        onChange={setKey}
      />
    </Dialog>
  );
}

type Props = {
  label: string;
  pointer: string;
  help: string;
  placeholder: string;
  value: string;
  onChange: (value: string) => void;
};

function PemField(props: Props) {
  const id = useId();
  return (
    <div className="croft-pem">
      <LongTextField {...props} isRequired rows={4} />
      <label htmlFor={id} className="croft-small">
        {text.certificate.orFile(props.label)}
      </label>
      <input
        id={id}
        type="file"
        accept=".pem,.crt,.cer,.key"
        className="croft-small"
        onChange={({ target }) => void target.files?.[0]?.text().then(props.onChange)}
      />
    </div>
  );
}
