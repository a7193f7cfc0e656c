/**
 * Lets a product run while its license says so. It trades the license key for a token, keeps the token on disk, asks
 * again once a day, goes on without the service as long as it may, and stops at a definite no.
 *
 * <p>{@link openlicenser.client.LicenseClient} is where to begin. The package knows products, and nothing of the
 * vendor. What every client must do, in whatever language, stands in clients/vectors of the repository; the tests run
 * it.
 */
package openlicenser.client;
