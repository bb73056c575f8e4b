/** The certificate that browsers are shown: what it is, how to know it, and another in its place. */
import { Alert, Card, CardBody, ClipboardCopy } from '@patternfly/react-core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { Certificate } from '../../../../client/types.ts';
import { client } from '../../api/client.ts';
import { certificateQuery, queryClient } from '../../api/queries.ts';
import { validityOf } from '../../api/validity.ts';
import { ReplaceCertificate } from '../../forms/replace-certificate.tsx';
import { formatTime } from '../../format.ts';
import { useRefusal } from '../../hooks/use-role.ts';
import { text } from '../../i18n/text.ts';
import { ActionButton } from '../../ui/action-button.tsx';
import { useConfirm } from '../../ui/confirm.tsx';
import { Empty } from '../../ui/empty.tsx';
import { Facts } from '../../ui/facts.tsx';
import { Loaded } from '../../ui/loaded.tsx';
import { StateLabel } from '../../ui/state-label.tsx';
import { notify } from '../../ui/toasts.tsx';

function told(): void {
  void queryClient.invalidateQueries({ queryKey: certificateQuery.queryKey });
  notify({ variant: 'success', title: text.certificate.replaced });
}

export function CertificateTab() {
  const query = useQuery(certificateQuery);
  const [isReplacing, setReplacing] = useState(false);
  const { ask, question } = useConfirm();
  const refusal = useRefusal()('admin');
  const reset = () =>
    ask({
      title: text.certificate.resetTitle,
      body: text.certificate.resetBody,
      submit: text.certificate.reset,
      run: async () => {
        await client.request('DELETE', '/v1/node/certificate');
        told();
      },
    });
  const actions = (
    <div className="croft-actions">
      <ActionButton variant="primary" refusal={refusal} onClick={() => setReplacing(true)}>
        {text.certificate.replace}
      </ActionButton>
      <ActionButton variant="secondary" refusal={refusal} onClick={reset}>
        {text.certificate.reset}
      </ActionButton>
    </div>
  );
  return (
    <>
      <Loaded query={query} what={text.certificate.title}>
        {(certificate) => (
          <div className="croft-stack">
            {!certificate.served && <Alert variant="info" isInline title={text.certificate.notServed} />}
            {certificate.fingerprint === undefined ? (
              <Card isCompact className="croft-card">
                <CardBody>
                  <Empty title={text.certificate.none} actions={actions}>
                    {text.certificate.noneDetail}
                  </Empty>
                </CardBody>
              </Card>
            ) : (
              <>
                <CertificateFacts certificate={certificate} />
                {actions}
              </>
            )}
          </div>
        )}
      </Loaded>
      {isReplacing && <ReplaceCertificate onDone={told} onClose={() => setReplacing(false)} />}
      {question}
    </>
  );
}

function CertificateFacts({ certificate }: { certificate: Certificate }) {
  const { origin = 'own', subject, issuer, names, notBefore = '', notAfter = '', fingerprint = '' } = certificate;
  return (
    <Facts
      title={text.certificate.title}
      action={<StateLabel state={validityOf(certificate)} />}
      facts={[
        [text.certificate.kind, text.certificate.origins[origin]],
        [text.certificate.names, <span className="croft-break">{names.join(', ') || '–'}</span>],
        [text.certificate.subject, <span className="croft-break">{subject}</span>],
        [text.certificate.issuer, <span className="croft-break">{issuer}</span>],
        [text.certificate.from, formatTime(notBefore)],
        [text.certificate.until, formatTime(notAfter)],
        [
          text.certificate.fingerprint,
          <>
            <ClipboardCopy
              isReadOnly
              isCode
              variant="inline-compact"
              hoverTip={text.common.copy}
              clickTip={text.common.copied}
              copyAriaLabel={`${text.common.copy}: ${text.certificate.fingerprint}`}
              className="croft-break"
            >
              {fingerprint}
            </ClipboardCopy>
            <div className="croft-quiet croft-small">{text.certificate.fingerprintHelp}</div>
          </>,
        ],
      ]}
    />
  );
}
