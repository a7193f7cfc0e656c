/**
 * Stands in for the Java client that the original Open Licenser came with: the same classes and messages, by
 * {@link openlicenser.client.LicenseClient}. A product that has that client's source drops it, and depends on this
 * instead. New products use {@link openlicenser.client} itself.
 */
package org.capegroep.licensemanager;
