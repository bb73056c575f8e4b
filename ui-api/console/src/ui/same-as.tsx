import { ClipboardCopyButton, CodeBlock, CodeBlockAction, CodeBlockCode, Tab, Tabs, TabTitleText } from '@patternfly/react-core';
import { useId, useState } from 'react';
import type { SameAsTexts } from '../forms/vm-create-model.ts';
import { text } from '../i18n/text.ts';

const kinds = ['cli', 'yaml', 'curl'] as const;

/** What a form would do, as one would write it elsewhere; changes with each key. */
export function SameAs({ texts }: { texts: SameAsTexts }) {
  const [kind, setKind] = useState<(typeof kinds)[number]>('cli');
  const [isCopied, setCopied] = useState(false);
  const id = useId();
  const copy = () => {
    void navigator.clipboard.writeText(texts[kind]).then(() => setCopied(true));
  };
  const action = (
    <CodeBlockAction>
      <ClipboardCopyButton
        id={`${id}-copy`}
        textId={`${id}-code`}
        aria-label={text.common.copy}
        variant="plain"
        onClick={copy}
        onTooltipHidden={() => setCopied(false)}
      >
        {isCopied ? text.common.copied : text.common.copy}
      </ClipboardCopyButton>
    </CodeBlockAction>
  );
  return (
    <section aria-labelledby={`${id}-title`} className="croft-same-as">
      <h2 id={`${id}-title`}>{text.create.sameAs}</h2>
      <p className="croft-quiet">{text.create.sameAsHelp}</p>
      <Tabs
        activeKey={kind}
        onSelect={(_event, key) => setKind(key as (typeof kinds)[number])}
        aria-label={text.create.sameAs}
        isSubtab
        mountOnEnter
        unmountOnExit
      >
        {kinds.map((each) => (
          <Tab key={each} eventKey={each} title={<TabTitleText>{text.create.sameKinds[each]}</TabTitleText>}>
            <CodeBlock actions={action}>
              <CodeBlockCode id={`${id}-code`} tabIndex={0}>
                {texts[each]}
              </CodeBlockCode>
            </CodeBlock>
          </Tab>
        ))}
      </Tabs>
    </section>
  );
}
