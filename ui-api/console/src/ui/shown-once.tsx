import { Button, ClipboardCopy, Modal, ModalBody, ModalFooter, ModalHeader } from '@patternfly/react-core';
import { useId } from 'react';
import { text } from '../i18n/text.ts';

/** A secret that the API tells only now. */
export function ShownOnce({ title, help, value, onClose }: { title: string; help: string; value: string; onClose: () => void }) {
  const id = useId();
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby={id}>
      <ModalHeader title={title} labelId={id} description={help} />
      <ModalBody>
        <ClipboardCopy isReadOnly isCode hoverTip={text.common.copy} clickTip={text.common.copied} textAriaLabel={title}>
          {value}
        </ClipboardCopy>
      </ModalBody>
      <ModalFooter>
        <Button variant="primary" onClick={onClose}>
          {text.common.close}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
